select
    flow_id as id,
    name,
    status,
    trigger_type,
    archived,
    {{ utc('created') }} as created,
    {{ utc('updated') }} as updated,
    {{ utc(var('klaviyo_loaded_at')) }} as _fivetran_synced,
    {{ is_deleted(source('klaviyo_tap', 'flows')) }} as _fivetran_deleted
from {{ source('klaviyo_tap', 'flows') }}
