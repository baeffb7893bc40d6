"""What the API's specification says, and the forms of requests and answers."""
