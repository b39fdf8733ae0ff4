"""Write a converted folder, tensor by tensor, so that a kill loses little."""
