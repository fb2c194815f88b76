"""From a source's words to one clean, versioned table of bars.

Here: source kinds, the quality rules of raw bars, the versions of a value, and `observations`.
Not here: anything derived from the bars (`features`). Words of a source end in this package.
"""
