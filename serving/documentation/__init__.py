"""The documentation page: renders the OpenAPI document without a request to another machine."""
