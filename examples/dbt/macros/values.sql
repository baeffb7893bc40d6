{# A member of a JSON object as text, null where there is none. Its name may begin with `$`. #}
{% macro json_text(column, name) %}{{ adapter.dispatch('json_text', 'singer_klaviyo')(column, name) }}{% endmacro %}

{% macro default__json_text(column, name) %}(cast({{ column }} as jsonb) ->> '{{ name }}'){% endmacro %}

{# For DuckDB what begins with `$` is a path. #}
{% macro duckdb__json_text(column, name) %}json_extract_string({{ column }}, '$."{{ name }}"'){% endmacro %}


{# Seconds since 1970 as a timestamp in UTC. #}
{% macro of_epoch(column) %}{{ adapter.dispatch('of_epoch', 'singer_klaviyo')(column) }}{% endmacro %}

{% macro default__of_epoch(column) %}(to_timestamp({{ column }}) at time zone 'UTC'){% endmacro %}

{% macro duckdb__of_epoch(column) %}make_timestamp(cast({{ column }} as bigint) * 1000000){% endmacro %}


{# A moment as a timestamp in UTC that does not say so. #}
{% macro utc(column) %}{{ adapter.dispatch('utc', 'singer_klaviyo')(column) }}{% endmacro %}

{% macro default__utc(column) %}{{ column }}{% endmacro %}

{# The lake's moments have a zone. #}
{% macro duckdb__utc(column) %}({{ column }} at time zone 'UTC'){% endmacro %}


{# One member of a JSON:API relationships object, null where the id is. #}
{% macro relationship(name, type, id) -%}
case when {{ id }} is not null
  then '"{{ name }}":{"data":{"type":"{{ type }}","id":' || cast(to_json({{ id }}) as text) || '}}' end
{%- endmacro %}


{#
  The number in a text without what surrounds it, by the name of that text's column; to be used in a CTE of its own.

  `$1,234.50` -> `1234.50`, `€ 12,30` -> `12,30`, `15 USD` -> `15`. What is no single number stays as it is, and
  is not taken for one by `plain_number`: `1e3`, `(5.00)`, `5.00-`, JSON.
#}
{% macro bare_number(column) -%}
regexp_replace(
  {#- Spaces and apostrophes part thousands. -#}
  regexp_replace({{ column }}, '[[:space:]''’{{ "\u00a0\u202f" }}]', '', 'g'),
  '^(-?)([^][0-9(){}:".,−-]*[[:alpha:]][.]|[^][0-9(){}:".,−-]*)(-?[.]?[0-9][0-9.,]*)[^0-9)−-]*$',
  '\1\3'
)
{%- endmacro %}

{#
  What `bare_number` left, with a point for decimals and nothing for thousands; null if it is no number.

  Of a point and a comma, the last one is for decimals. A comma alone parts thousands if three figures follow it, a
  point alone only if there are several.
#}
{% macro plain_number(column) -%}
case
  when {{ column }} ~ '^-?[0-9]*[.]?[0-9]+$' then {{ column }}
  when {{ column }} ~ '^-?[0-9]{1,3}(,[0-9]{3})+([.][0-9]+)?$' then replace({{ column }}, ',', '')
  when {{ column }} ~ '^-?[0-9]{1,3}([.][0-9]{3})+(,[0-9]+)?$' then replace(replace({{ column }}, '.', ''), ',', '.')
  when {{ column }} ~ '^-?[0-9]+,[0-9]+$' then replace({{ column }}, ',', '.')
end
{%- endmacro %}
