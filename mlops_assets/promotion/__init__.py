"""Who serves: `decision` is the gate as a pure function, the registry's alias carries its verdict.

The figures that the gate reads come from `evaluation`.
"""
