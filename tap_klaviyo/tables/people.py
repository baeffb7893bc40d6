"""Tables of people that cost more than their profiles: push tokens, conversations, predictions.

Each has a pass of its own. Those over the profiles are not the pass of ``profiles``, because Klaviyo limits what they
ask for more strictly.
"""

from __future__ import annotations

from tap_klaviyo.model import Collection, Table, each

PUSH_TOKENS = Collection("push_tokens", "get_push_tokens", "push-token")
CONVERSATIONS = Collection("conversations", "get_profiles", "profile", bookmark="updated")
PREDICTIVE_ANALYTICS = Collection("profile_predictive_analytics", "get_profiles", "profile", bookmark="updated")

TABLES = (
    Table(
        "push_tokens",
        PUSH_TOKENS,
        key=("push_token_id",),
        deletion_note="A token that is no longer valid stays as it was last read.",
    ),
    Table(
        "conversations",
        CONVERSATIONS,
        key=("conversation_id",),
        bookmark="profile_updated",
        roots=(each("conversation", "included:conversations#"),),
        deletion_note=(
            "Conversations of a deleted profile stay. One that begins without a change of its profile is seen when the "
            "profile changes, or when `reread` names `conversations`."
        ),
    ),
    Table(
        "profile_predictive_analytics",
        PREDICTIVE_ANALYTICS,
        key=("profile_id",),
        bookmark="profile_updated",
        deletion_note=(
            "Those of a deleted profile stay. What is predicted anew without a change of the profile is seen when the "
            "profile changes, or when `reread` names `profile_predictive_analytics`."
        ),
    ),
)
