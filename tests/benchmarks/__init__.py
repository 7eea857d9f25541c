"""The benchmarks: CacheStorm, compiled and pure, beside its peers on one machine.

`make bench` runs them and writes docs/benchmarks/; `make bench BENCH=--quick` takes a minute
and writes build/benchmarks/. In reading order: `__main__` picks the cases and writes the
pages, `sample` and `page` are what a case measures and tells, `worker` is a process of its
own for each subject, and every other module is one case.

1. Subjects take turns within every round, each in a process of its own, so that a machine
   that slows down for a while slows down all of them.
2. What is shown is the median of the rounds, and beside it the smallest and the largest.
3. A case that lacks something (a peer, a server, redis-benchmark) says so in its page and
   goes on.
"""
