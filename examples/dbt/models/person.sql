select
    profile_id as id,
    email,
    phone_number,
    first_name,
    last_name,
    organization,
    title,
    location_address1 as address_1,
    location_address2 as address_2,
    location_city as city,
    location_region as region,
    location_country as country,
    location_zip as zip,
    location_timezone as timezone,
    cast(location_latitude as double precision) as latitude,
    cast(location_longitude as double precision) as longitude,
    {{ utc('created') }} as created,
    {{ utc('updated') }} as updated,
    {{ utc('last_event_date') }} as last_event_date,
    {{ utc(var('klaviyo_loaded_at')) }} as _fivetran_synced,
    {{ is_deleted(source('klaviyo_tap', 'profiles')) }} as _fivetran_deleted
    {{- pass_through('klaviyo__person_pass_through_columns', source('klaviyo_tap', 'profiles'), 'properties', 'custom_') }}
from {{ source('klaviyo_tap', 'profiles') }}
