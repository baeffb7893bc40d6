with said as (

    select
        *,
        {{ json_text('event_properties', '$value') }} as value_said,
        -- An event about a message says which one; of others Klaviyo says which one they are owed to.
        message is not null or flow is not null as is_about_message
    from {{ source('klaviyo_tap', 'events') }}

), touched as (

    select
        *,
        {{ bare_number('value_said') }} as bare_value,
        case when is_about_message then flow else attribution_flow end as touch_flow,
        case when is_about_message then message else attribution_message end as touch_message
    from said

)

select
    id,
    uuid,
    profile_data_id as person_id,
    metric_data_id as metric_id,
    metric_name as type,
    coalesce({{ of_epoch('timestamp') }}, {{ utc('event_datetime') }}) as timestamp,
    {{ utc('event_datetime') }} as datetime,
    case when touch_flow is null then touch_message end as campaign_id,
    touch_flow as flow_id,
    case when touch_flow is not null then touch_message end as flow_message_id,
    case when is_about_message then variation else attribution_variation end as _variation,
    {{ plain_number('bare_value') }} as property_value,
    case
        when coalesce(attribution_attributed_event_id, attribution_flow, attribution_message) is not null
        then '{"type":"attribution","relationships":{' || concat_ws(
            ',',
            {{ relationship('event', 'event', 'id') }},
            {{ relationship('attributed-event', 'event', 'attribution_attributed_event_id') }},
            {{ relationship('campaign', 'campaign', 'case when attribution_flow is null then attribution_message end') }},
            {{ relationship('flow', 'flow', 'attribution_flow') }},
            {{ relationship(
                'flow-message', 'flow-message', 'case when attribution_flow is not null then attribution_message end'
            ) }},
            {{ relationship('flow-message-variation', 'flow-message', 'attribution_variation') }}
        ) || '}}'
    end as property_attribution,
    {{ utc(var('klaviyo_loaded_at')) }} as _fivetran_synced,
    {{ is_deleted(source('klaviyo_tap', 'events')) }} as _fivetran_deleted
    {{- pass_through('klaviyo__event_pass_through_columns', source('klaviyo_tap', 'events'), 'event_properties', 'property_') }}
from touched
