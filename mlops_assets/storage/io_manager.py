"""How Dagster sees stored tables: the IO manager and column metadata.

Here: the translation between asset keys and table names. Not here: the store (`storage.tables`).
"""

from __future__ import annotations

import dagster as dg
import polars as pl

from mlops_assets.storage.tables import TableStore
from mlops_assets.tables.schema import TableSchema


def table_name(key: dg.AssetKey) -> str:
    """The table of an asset: its key's parts joined by a slash."""
    return "/".join(key.path)


def column_schema(schema: TableSchema) -> dg.TableSchema:
    """A table's schema as Dagster shows it: type, unit and meaning of each column."""
    columns = [
        dg.TableColumn(
            name=column.name,
            type=_type_name(column.dtype),
            description=f"{column.description} ({column.unit})"
            if column.unit
            else column.description,
            constraints=dg.TableColumnConstraints(
                nullable=column.nullable, unique=schema.key == (column.name,)
            ),
        )
        for column in schema.columns
    ]
    return dg.TableSchema(columns=columns)


def frame_schema(frame: pl.DataFrame) -> dg.TableSchema:
    """A frame's columns and types as Dagster shows them."""
    return dg.TableSchema(
        columns=[dg.TableColumn(name, _type_name(dtype)) for name, dtype in frame.schema.items()]
    )


def _type_name(dtype: pl.DataType | type[pl.DataType]) -> str:
    """The type in short, such as `Datetime[us, UTC]`."""
    if isinstance(dtype, pl.Datetime):
        return f"Datetime[{dtype.time_unit}, {dtype.time_zone}]"
    return str(dtype)


class TableIOManager(dg.ConfigurableIOManager):
    """Keeps polars frames as Parquet tables below `root`, named by their asset key.

    Every table gets its row count, column schema and name as metadata.
    """

    root: str

    def handle_output(self, context: dg.OutputContext, obj: object) -> None:
        """Store a frame and describe it.

        Raises:
            TypeError: the output is no `polars.DataFrame`.
        """
        table = table_name(context.asset_key)
        if not isinstance(obj, pl.DataFrame):
            raise TypeError(
                f"{table}: the output is a {type(obj).__name__}; this IO manager stores "
                "polars.DataFrame only; return one, or write inside the asset and return no value"
            )
        store = TableStore(self.root)
        store.write(table, obj)
        context.add_output_metadata(
            {
                "dagster/row_count": len(obj),
                "dagster/column_schema": frame_schema(obj),
                "table": f"{table}.parquet",
            }
        )

    def load_input(self, context: dg.InputContext) -> pl.DataFrame:
        """The stored frame of the upstream asset.

        Raises:
            TableMissingError: the upstream asset has never been materialised.
        """
        return TableStore(self.root).read(table_name(context.asset_key))
