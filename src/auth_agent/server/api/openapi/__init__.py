"""The OpenAPI document of the JSON endpoints, and the shapes that it describes."""
