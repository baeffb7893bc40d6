"""The API as Klaviyo specifies it: operations, filters, documents, errors, and the forms of requests and answers."""
