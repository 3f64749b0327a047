"""A website's settings, and the objects built from them."""
