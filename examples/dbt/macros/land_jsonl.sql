{#
  DuckDB: the files of target-jsonl as tables, one row for each key, of the latest file that has it.

  Does nothing unless KLAVIYO_JSONL names the folder. Files must bear the time of their run, in UTC
  (`do_timestamp_file`), which becomes `_sdc_batched_at`. A table without a file stays as it is, or is made empty.
  Names and types are those of models/sources.yml.
#}
{% macro land_jsonl() %}
  {% set folder = env_var('KLAVIYO_JSONL', '') %}
  {% if execute and target.type == 'duckdb' and folder %}
    {% do run_query('create schema if not exists ' ~ var('klaviyo_tap_schema')) %}
    {% for node in graph.sources.values() if node.source_name == 'klaviyo_tap' %}
      {% do run_query(singer_klaviyo.landing(node, folder ~ '/' ~ node.name ~ '-*.jsonl')) %}
    {% endfor %}
  {% endif %}
{% endmacro %}

{% macro landing(node, files) %}
  {% set types = {} %}
  {% for column in node.columns.values() if column.name != '_sdc_batched_at' %}
    {% do types.update({column.name: column.data_type}) %}
  {% endfor %}
  {% set found = run_query("select count(*) from glob('" ~ files ~ "')").columns[0].values()[0] %}
  {% if found %}
    create or replace table {{ node.relation_name }} as
    select
      {{ types | join(', ') }},
      strptime(regexp_extract(filename, '-(\d{8}T\d{6})[.]jsonl$', 1), '%Y%m%dT%H%M%S') as _sdc_batched_at
    from read_json('{{ files }}', format = 'newline_delimited', columns = {{ types }}, filename = true)
    qualify row_number() over (
      partition by {{ node.config.meta.key }}
      order by _sdc_batched_at desc {%- if node.config.meta.bookmark %}, {{ node.config.meta.bookmark }} desc{% endif %}
    ) = 1
  {% else %}
    create table if not exists {{ node.relation_name }} (
      {% for name, type in types.items() %}{{ name }} {{ type }}, {% endfor %} _sdc_batched_at timestamp
    )
  {% endif %}
{% endmacro %}
