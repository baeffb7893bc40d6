{#
  DuckDB: stops unless the tap's tables are in the lake, and one of them has a row. A wrong folder would give empty tables.
#}
{% macro check_lake() %}
  {% if execute and target.type == 'duckdb' %}
    {% set lake = "KLAVIYO_LAKE is '" ~ env_var('KLAVIYO_LAKE', 'LAKE') ~ "': " %}
    {% set fill = "Name the folder that examples/lake/lake.py has filled, and select all tables of models/sources.yml." %}
    {% set tables = [] %}
    {% for node in graph.sources.values() if node.source_name == 'klaviyo_tap' %}
      {% set found = adapter.get_relation(node.database, node.schema, node.identifier) %}
      {% if not found %}
        {% do exceptions.raise_compiler_error(lake ~ "there is no table `" ~ node.name ~ "`. " ~ fill) %}
      {% endif %}
      {% do tables.append("exists (from " ~ node.relation_name ~ ")") %}
    {% endfor %}
    {% if not run_query("select " ~ tables | join(" or ")).columns[0].values()[0] %}
      {% do exceptions.raise_compiler_error(lake ~ "no table has a row. " ~ fill) %}
    {% endif %}
  {% endif %}
{% endmacro %}
