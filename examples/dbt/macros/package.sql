{#
  In place of the macro of fivetran_utils, by `dispatch` of dbt_project.yml: a text as a number, null where it is none.
  Theirs knows whole numbers only on PostgreSQL, so that amounts such as 1234.50 become null.
#}
{% macro postgres__try_cast(field, type) %}
  {%- if type != 'numeric' -%}
    {{ exceptions.raise_compiler_error('try_cast knows numeric only, not ' ~ type) }}
  {%- endif -%}
  case
    when trim(cast({{ field }} as text)) ~ '^[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]{1,2})?$'
    then cast(trim(cast({{ field }} as text)) as numeric)
  end
{%- endmacro %}


{# Whether the loader has marked the row as deleted; null where it never marks any. #}
{% macro is_deleted(relation, prefix='') -%}
  {%- set column = var('klaviyo_deleted_at') -%}
  {%- if column in singer_klaviyo.names_of_columns(relation) -%}
    ({{ prefix }}{{ column }} is not null)
  {%- else -%}
    cast(null as boolean)
  {%- endif -%}
{%- endmacro %}

{% macro names_of_columns(relation) %}
  {{ return(adapter.get_columns_in_relation(relation) | map(attribute='name') | list if execute else []) }}
{% endmacro %}


{#
  The columns that the package is told to pass through, each behind a comma: columns of the tap's table of that name, and
  members of a JSON object, whose columns the package expects to begin with a prefix.
#}
{% macro pass_through(variable, relation, object, prefix) %}
  {%- set names = singer_klaviyo.names_of_columns(relation) -%}
  {%- for entry in var(variable, []) %}
    {%- set column = entry if entry is string else entry.name -%}
    {%- set member = entry.property if entry is mapping and entry.property else column.removeprefix(prefix) %},
    {% if column in names and not (entry is mapping and entry.property) -%}
      {{ column }}
    {%- else -%}
      {{ json_text(object, member | replace("'", "''")) }} as {{ column }}
    {%- endif %}
  {%- endfor %}
{%- endmacro %}
