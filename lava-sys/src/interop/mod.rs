//! Views of lava's memory in other interfaces, which are loaded at run time: nothing of them is needed to build lava or
//! to run it, and nothing of them is touched before somebody asks for a view.

pub mod cuda;
