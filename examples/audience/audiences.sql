-- Your shop's table; here it is made, in your warehouse it is there.
create schema if not exists shop;

create table if not exists shop.customers (
    customer_number text primary key,
    email text,
    phone_number text,
    first_name text,
    orders integer not null default 0,
    revenue numeric(12, 2) not null default 0,
    last_order_on date
);

-- One view for each audience. Whoever is in it is on the list, whoever is not leaves it.
-- `size` is how many people were to come: without as many, nobody is taken off.
create schema if not exists audience;

create or replace view audience.loyal_customers as
select
    email,
    phone_number,
    customer_number as external_id,
    first_name,
    orders,
    count(*) over () as size
from shop.customers
where orders >= 3 and (email is not null or phone_number is not null);

create or replace view audience.sleeping_customers as
select
    email,
    phone_number,
    customer_number as external_id,
    first_name,
    count(*) over () as size
from shop.customers
where last_order_on < current_date - 180 and (email is not null or phone_number is not null);
