"""One operation a file: the maths, the forward pass, the backward pass, the public function."""
