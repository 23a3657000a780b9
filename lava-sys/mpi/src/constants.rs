//! MPI's constants whose values the MPI library or its header decides. They never change while the process runs.

use std::ffi::c_int;

use mpi_sys::*;

macro_rules! constants {
    ($($name:ident: $type:ty = $symbol:ident;)*) => { $(
        #[inline(always)]
        pub fn $name() -> $type {
            // SAFETY: a constant, written when the plug-in was built or loaded.
            unsafe { $symbol }
        }
    )* };
}

constants! {
    world: MPI_Comm = RSMPI_COMM_WORLD;
    own: MPI_Comm = RSMPI_COMM_SELF;
    no_communicator: MPI_Comm = RSMPI_COMM_NULL;
    no_group: MPI_Group = RSMPI_GROUP_NULL;
    no_request: MPI_Request = RSMPI_REQUEST_NULL;
    no_status: *mut MPI_Status = RSMPI_STATUS_IGNORE;
    bytes: MPI_Datatype = RSMPI_UINT8_T;
    numbers: MPI_Datatype = RSMPI_UINT32_T;
    largest: MPI_Op = RSMPI_MAX;
    any_source: c_int = RSMPI_ANY_SOURCE;
    any_tag: c_int = RSMPI_ANY_TAG;
    errors_return: MPI_Errhandler = RSMPI_ERRORS_RETURN;
    thread_single: c_int = RSMPI_THREAD_SINGLE;
    thread_funneled: c_int = RSMPI_THREAD_FUNNELED;
    thread_serialized: c_int = RSMPI_THREAD_SERIALIZED;
    thread_multiple: c_int = RSMPI_THREAD_MULTIPLE;
}
