//! What a pod becomes: the annotations read, the operations that give it the broker, or why not.
