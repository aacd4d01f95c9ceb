//! Who may connect, as whom, and what that identity may do.
