"""The methods of the SDK as flows, once for threads and tasks."""
