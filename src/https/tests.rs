//! The keeper over a real folder and a clock that is moved.
