"""The hit ratio: CacheStorm's eviction policies, beside the literature's and the peers'.

A case of the benchmarks (`make bench BENCH=hit-ratio`), and the ground of
`notebooks/eviction.ipynb`. In reading order: `traces` is what is asked for, `references`
are the policies of the papers and the optimum, `contestants` drives those, ours and the
peers through a trace, `scoreboard` says how far below the best each stays, `plot` draws it,
and `judge` does it all in worker processes and writes the page.
"""

from tests.benchmarks.hit_ratio.judge import Measurer, measure

__all__ = ["Measurer", "measure"]
