-- An audience is a view: whoever is in it goes onto the list.
create schema if not exists audience;

create or replace view audience.vip_customers as
select p.email, p.phone_number, p.first_name, count(*) as orders, round(sum(e.value)::numeric, 2) as revenue
from klaviyo.events e
join klaviyo.profiles p on p.profile_id = e.profile_data_id
where e.metric_name = 'Placed Order'
group by p.profile_id, p.email, p.phone_number, p.first_name
having count(*) >= 3
-- Two rows that cannot be pushed, as every real audience has some: a broken address, and nobody at all.
union all
select 'ada.example.com', null, 'Ada', 7, 700.00
union all
select null, null, 'Nobody', 4, 400.00;
