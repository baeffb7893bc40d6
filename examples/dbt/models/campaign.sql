with messages as (

    select
        *,
        row_number() over (partition by campaign_data_id order by created_at, campaign_message_id) as place
    from {{ source('klaviyo_tap', 'campaign_messages') }}
    where not coalesce({{ is_deleted(source('klaviyo_tap', 'campaign_messages')) }}, false)

)

select
    campaign.campaign_id as id,
    campaign.name,
    campaign.channel as campaign_type,
    campaign.status,
    cast(null as {{ dbt.type_string() }}) as status_id,
    campaign.status as status_label,
    campaign.archived,
    {{ utc('campaign.created_at') }} as created,
    {{ utc('campaign.updated_at') }} as updated,
    {{ utc('campaign.scheduled_at') }} as scheduled,
    {{ utc('campaign.send_time') }} as send_time,
    case when campaign.status = 'Sent' then {{ utc('campaign.send_time') }} end as sent_at,
    messages.content_subject as subject,
    messages.content_from_email as from_email,
    messages.content_from_label as from_name,
    messages.template_data_id as email_template_id,
    {{ utc('campaign.' ~ var('klaviyo_loaded_at')) }} as _fivetran_synced,
    {{ is_deleted(source('klaviyo_tap', 'campaigns'), 'campaign.') }} as _fivetran_deleted
from {{ source('klaviyo_tap', 'campaigns') }} as campaign
left join messages on messages.campaign_data_id = campaign.campaign_id and messages.place = 1
