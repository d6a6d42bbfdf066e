"""One operation per file: the maths, the forward pass, the backward pass, the public function."""
