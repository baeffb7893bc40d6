select
    flow_id as id,
    name,
    status,
    trigger_type,
    archived,
    created,
    updated,
    {{ var('klaviyo_loaded_at') }} as _fivetran_synced,
    {{ is_deleted(source('klaviyo_tap', 'flows')) }} as _fivetran_deleted
from {{ source('klaviyo_tap', 'flows') }}
