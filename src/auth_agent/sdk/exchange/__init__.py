"""One exchange: its hops, its repetitions, and the parsing of its answer."""
