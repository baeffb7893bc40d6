select
    metric_id as id,
    name,
    integration_id,
    integration_name,
    -- Older accounts hold an object, which the tap gives as JSON text.
    case
        when left(integration_category, 1) = '{' then {{ json_text('integration_category', 'name') }}
        else integration_category
    end as integration_category,
    {{ utc('created') }} as created,
    {{ utc('updated') }} as updated,
    {{ utc(var('klaviyo_loaded_at')) }} as _fivetran_synced,
    {{ is_deleted(source('klaviyo_tap', 'metrics')) }} as _fivetran_deleted
from {{ source('klaviyo_tap', 'metrics') }}
