"""One exchange: hops that are looked at, repetitions, answers that are read."""
