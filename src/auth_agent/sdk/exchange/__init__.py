"""One exchange: its hops, its repetitions, and how its answer is read."""
