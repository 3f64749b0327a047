"""The database: schema, access, audit log and sweeping."""
