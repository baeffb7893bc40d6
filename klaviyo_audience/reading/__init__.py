"""Sources of rows: text files, workbooks, Parquet, DuckDB's files, and queries of databases."""
