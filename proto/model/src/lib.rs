//! What both planes agree on: ids, states and the legal changes of state.
