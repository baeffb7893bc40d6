select
    flow_id as id,
    name,
    status,
    trigger_type,
    archived,
    created,
    updated,
    {{ var('klaviyo_loaded_at') }} as _fivetran_synced,
    cast(null as boolean) as _fivetran_deleted
from {{ source('klaviyo_tap', 'flows') }}
