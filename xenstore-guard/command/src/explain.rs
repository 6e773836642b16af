//! What a policy says to one request.
