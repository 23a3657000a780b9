//! The plug-in: which one, where it lies, and what is in it.

use std::ffi::{c_int, c_void};
use std::mem::ManuallyDrop;
use std::path::{Path, PathBuf};

use libloading::os::unix::{Library as Loaded, RTLD_LOCAL, RTLD_NOW};

use super::job::ThreadLevel;
use super::launcher::Launcher;
use super::settings::{Choice, MpiSettings};
use super::table::{self, Failure, Table};
use crate::error::{Error, Result};
use crate::os::objects;
use crate::types::*;

/// An MPI's binary interface: handles, constants and launcher belong to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    OpenMpi,
    Mpich,
}

impl Family {
    pub const ALL: [Self; 2] = [Self::OpenMpi, Self::Mpich];

    pub fn name(self) -> &'static str {
        match self {
            Self::OpenMpi => "Open MPI",
            Self::Mpich => "MPICH",
        }
    }

    /// The value of `LAVA_MPI`.
    pub fn word(self) -> &'static str {
        match self {
            Self::OpenMpi => "openmpi",
            Self::Mpich => "mpich",
        }
    }

    pub fn file_name(self) -> String {
        format!("liblava_mpi_{}.so", self.word())
    }

    /// Of a shared library, by its file name: the MPIs with MPICH's ABI share a version number, vendors' names differ.
    pub fn of_object(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?;
        let (stem, version) = name.split_once(".so")?;
        match stem {
            "libmpi" if version.starts_with(".12") => Some(Self::Mpich),
            "libmpi" => Some(Self::OpenMpi),
            "libmpich" | "libmpi_cray" | "libmpi_gnu" => Some(Self::Mpich),
            _ => None,
        }
    }

    /// The oldest library that is known to work.
    fn least_version(self) -> (u32, u32) {
        match self {
            Self::OpenMpi => (4, 0),
            Self::Mpich => (3, 3),
        }
    }
}

/// The MPI libraries that this process has loaded, with their paths.
pub fn loaded() -> Vec<(Family, PathBuf)> {
    let known = |path: PathBuf| Family::of_object(&path).map(|family| (family, path));
    objects::loaded().into_iter().filter_map(known).collect()
}

/// What to load, best first. The process's own MPI decides, then the launcher, then what is there. Pure.
pub fn candidates(
    choice: &Choice,
    loaded: &[(Family, PathBuf)],
    launcher: Option<&Launcher>,
) -> Result<Vec<Family>> {
    if let [(one, first), rest @ ..] = loaded
        && let Some((other, second)) = rest.iter().find(|(family, _)| family != one)
    {
        return Err(unsupported(format!(
            "this process has loaded two MPIs, {} ({}) and {} ({}); link it with one of them",
            one.name(),
            first.display(),
            other.name(),
            second.display()
        )));
    }
    let process = loaded.first();
    let started = launcher.and_then(|launcher| launcher.family);
    if let (Some((mine, path)), Some(theirs)) = (process, started)
        && *mine != theirs
    {
        let launcher = launcher.map_or("", |launcher| launcher.name);
        return Err(unsupported(format!(
            "this process has loaded {} ({}), but {launcher} started it; start it with the mpirun of {}",
            mine.name(),
            path.display(),
            mine.name()
        )));
    }
    let asked = match choice {
        Choice::OpenMpi => Some(Family::OpenMpi),
        Choice::Mpich => Some(Family::Mpich),
        Choice::Auto | Choice::Off | Choice::Plugin(_) => None,
    };
    if let Some(asked) = asked {
        check_choice(asked, process, launcher)?;
    }
    Ok(match asked.or(process.map(|(family, _)| *family)).or(started) {
        Some(family) => vec![family],
        None => Family::ALL.to_vec(),
    })
}

/// An error if the chosen MPI is not the process's or the launcher's.
fn check_choice(
    asked: Family,
    process: Option<&(Family, PathBuf)>,
    launcher: Option<&Launcher>,
) -> Result<()> {
    if let Some((mine, path)) = process.filter(|(mine, _)| *mine != asked) {
        return Err(unsupported(format!(
            "{} is asked for, but this process has loaded {} ({}), and two MPIs in one process do not work; \
             use LAVA_MPI=auto or LAVA_MPI={}",
            asked.name(),
            mine.name(),
            path.display(),
            mine.word()
        )));
    }
    if let Some(launcher) = launcher
        && let Some(theirs) = launcher.family.filter(|theirs| *theirs != asked)
    {
        return Err(unsupported(format!(
            "{} is asked for, but {} started this process: every rank would be alone; start it with the mpirun of {}, \
             or use LAVA_MPI=auto or LAVA_MPI={}",
            asked.name(),
            launcher.name,
            asked.name(),
            theirs.word()
        )));
    }
    Ok(())
}

/// Where a plug-in may lie, in the order of the search: the directory that was asked for; about `own`, the file with
/// lava's code; last a bare name, for which the loader searches (`LD_LIBRARY_PATH`, the system's directories).
pub fn places(first: Option<&Path>, own: Option<&Path>, file: &str) -> Vec<PathBuf> {
    let mut places: Vec<PathBuf> =
        first.map(|directory| directory.join(file)).into_iter().collect();
    if let Some(directory) = own.and_then(Path::parent) {
        places.extend([directory.join(file), directory.join("lava").join(file)]);
        let above = directory.parent();
        match (directory.file_name().and_then(|name| name.to_str()), above) {
            // Where Cargo puts tests and examples.
            (Some("deps" | "examples"), Some(above)) => places.push(above.join(file)),
            (Some("bin"), Some(above)) => {
                let multiarch = format!("lib/{}-linux-gnu/lava", std::env::consts::ARCH);
                let libraries = ["lib/lava", "lib64/lava", multiarch.as_str()];
                places.extend(libraries.map(|library| above.join(library).join(file)));
            }
            _ => {}
        }
    }
    places.push(file.into());
    places
}

/// A plug-in in this process. Never unloaded: MPI has threads and exit handlers of its own, and does not survive it.
pub struct Library {
    pub path: PathBuf,
    table: &'static Table,
    loaded: ManuallyDrop<Loaded>,
}

// SAFETY: a table of functions that any thread may call, and a handle that is only searched.
unsafe impl Send for Library {}
// SAFETY: as above.
unsafe impl Sync for Library {}

impl std::fmt::Debug for Library {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Library({})", self.path.display())
    }
}

/// The state of MPI in this process.
#[derive(Debug, Clone)]
pub struct Facts {
    pub family: Family,
    pub standard: String,
    /// First line of what the library says of itself.
    pub library: String,
    pub is_initialised: bool,
    pub is_finalised: bool,
    pub by_lava: bool,
    pub thread_level: Option<ThreadLevel>,
    pub world_size: i32,
}

impl Library {
    /// Finds and loads the plug-in for these settings. MPI is not initialised by it.
    pub fn find(settings: &MpiSettings, launcher: Option<&Launcher>) -> Result<Self> {
        let process = loaded();
        let families = candidates(&settings.choice, &process, launcher)?;
        let library = match &settings.choice {
            Choice::Plugin(path) => Self::load(path).map_err(|reason| {
                unsupported(format!("the MPI plug-in does not load: {reason}"))
            })?,
            _ => Self::search(&families, settings.plugin_directory.as_deref())?,
        };
        let family = library.facts()?.family;
        if let Some((mine, path)) = process.first().filter(|(mine, _)| *mine != family) {
            return Err(unsupported(format!(
                "the plug-in {} is for {}, but this process has loaded {} ({}), and two MPIs in one process do not \
                 work; use LAVA_MPI=auto",
                library.path.display(),
                family.name(),
                mine.name(),
                path.display()
            )));
        }
        check_choice(family, None, launcher)?;
        Ok(library)
    }

    fn search(families: &[Family], first: Option<&Path>) -> Result<Self> {
        let own = objects::own();
        let mut reasons = Vec::new();
        for family in families {
            for place in places(first, own.as_deref(), &family.file_name()) {
                let is_name = place.parent() == Some(Path::new(""));
                if !is_name && !place.exists() {
                    continue;
                }
                match Self::load(&place) {
                    Ok(library) => return Ok(library),
                    Err(reason) => reasons.push(reason),
                }
            }
        }
        let names: Vec<String> = families.iter().map(|family| family.file_name()).collect();
        let beside = own.as_deref().and_then(Path::parent).unwrap_or(Path::new("?"));
        Err(unsupported(format!(
            "no MPI plug-in ({}): {}; build it with CMake on a machine with that MPI (doc/install.md), and put it into {}/lava, \
             or name its directory in LAVA_PLUGIN_DIR",
            names.join(" or "),
            reasons.join("; "),
            beside.display()
        )))
    }

    fn load(path: &Path) -> std::result::Result<Self, String> {
        // SAFETY: a plug-in of lava's, or what the user named in LAVA_MPI; it runs nothing when it is loaded but the
        // constructors of MPI's library, which every MPI program runs.
        let loaded = unsafe { Loaded::open(Some(path), RTLD_NOW | RTLD_LOCAL) }
            .map_err(|error| remedy(&error.to_string()))?;
        let loaded = ManuallyDrop::new(loaded);
        // SAFETY: this symbol has this type in every version of the plug-in.
        let table = unsafe {
            let find = loaded.get::<table::TableFunction>(table::SYMBOL.as_bytes());
            let find = find.map_err(|_| format!("{} is no plug-in of lava", path.display()))?;
            find().as_ref()
        };
        let table = table.ok_or_else(|| format!("{} has no table", path.display()))?;
        if table.version != table::VERSION || table.size as usize != size_of::<Table>() {
            return Err(format!(
                "{} is of another version of lava (table {}, {} bytes; this one has table {}, {} bytes); build both \
                 from the same sources",
                path.display(),
                table.version,
                table.size,
                table::VERSION,
                size_of::<Table>()
            ));
        }
        Ok(Self { path: objects::find(path), table, loaded })
    }

    pub fn table(&self) -> &'static Table {
        self.table
    }

    /// An error if the library is too old, or is not the one that the plug-in was built with.
    pub fn facts(&self) -> Result<Facts> {
        // SAFETY: a struct of numbers and bytes.
        let mut raw: table::Facts = unsafe { std::mem::zeroed() };
        // SAFETY: allowed at any time; the result is valid for writing.
        unsafe { (self.table.facts)(&raw mut raw) };
        let family = match raw.family {
            table::OPEN_MPI => Family::OpenMpi,
            table::MPICH => Family::Mpich,
            other => return Err(unsupported(format!("a plug-in of the unknown kind {other}"))),
        };
        let used = raw.library.get(..raw.length as usize).unwrap_or_default();
        let text = String::from_utf8_lossy(used).into_owned();
        check_version(family, &text)?;
        Ok(Facts {
            family,
            standard: format!("{}.{}", raw.standard[0], raw.standard[1]),
            library: first_line(&text),
            is_initialised: raw.initialised != 0,
            is_finalised: raw.finalised != 0,
            by_lava: raw.initialised_here != 0,
            thread_level: ThreadLevel::from_number(raw.thread_level),
            world_size: raw.world_size,
        })
    }

    /// Whether MPI says that it takes CUDA's device pointers. Only while MPI runs.
    pub fn is_gpu_aware(&self) -> bool {
        type Query = unsafe extern "C" fn() -> c_int;
        type QueryKind = unsafe extern "C" fn(c_int, *mut c_int) -> c_int;
        /// `MPIX_GPU_SUPPORT_CUDA`.
        const CUDA: c_int = 0;
        // SAFETY: where these symbols exist they have these types (mpi-ext.h of Open MPI, mpi.h of MPICH).
        unsafe {
            if let Ok(query) = self.loaded.get::<Query>(b"MPIX_Query_cuda_support") {
                return query() == 1;
            }
            let mut answer = 0;
            match self.loaded.get::<QueryKind>(b"MPIX_GPU_query_support") {
                Ok(query) => query(CUDA, &raw mut answer) == 0 && answer == 1,
                Err(_) => false,
            }
        }
    }
}

/// "Open MPI v4.1.4, package: …" and "MPICH Version:\t4.0.2\n…" in one line.
fn first_line(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    let line = line.split(", package").next().unwrap_or(line);
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn check_version(family: Family, text: &str) -> Result<()> {
    let line = first_line(text);
    let prefix = match family {
        Family::OpenMpi => "Open MPI v",
        Family::Mpich => "MPICH Version: ",
    };
    let Some(version) = line.strip_prefix(prefix) else {
        let is_other =
            Family::ALL.into_iter().any(|other| other != family && line.starts_with(other.name()));
        if is_other || family == Family::OpenMpi {
            return Err(unsupported(format!(
                "the plug-in is for {}, but the MPI library in this process is {line:?}; use the plug-in of that one",
                family.name()
            )));
        }
        // A vendor's MPI with MPICH's ABI has numbers of its own.
        return Ok(());
    };
    let mut numbers = version.split(|one: char| !one.is_ascii_digit()).map(str::parse::<u32>);
    let (Some(Ok(major)), Some(Ok(minor))) = (numbers.next(), numbers.next()) else {
        return Ok(());
    };
    let least = family.least_version();
    if (major, minor) < least {
        return Err(unsupported(format!(
            "{line} is too old; lava needs {} {}.{} or later",
            family.name(),
            least.0,
            least.1
        )));
    }
    Ok(())
}

/// The loader's words, and what to do about a library that is missing.
fn remedy(words: &str) -> String {
    let missing = words.contains("libmpi") && words.contains("cannot open shared object");
    if !missing {
        return words.to_owned();
    }
    format!(
        "{words}; install the MPI that the plug-in was built with, or put its directory into LD_LIBRARY_PATH \
         (on a cluster: load its module)"
    )
}

fn unsupported(message: String) -> Error {
    Error::new(LAVA_ERROR_UNSUPPORTED, message)
}

/// What a call of the table says when it fails.
pub fn failed(code: i32, failure: &Failure) -> Error {
    let status = match code {
        table::CLOSED => LAVA_CLOSED,
        table::TRUNCATED => LAVA_ERROR_TOO_LARGE,
        table::BUSY => LAVA_ERROR_LIMIT,
        table::MISUSE => LAVA_ERROR_INVALID_ARGUMENT,
        _ => LAVA_ERROR_UNREACHABLE,
    };
    let used = failure.text.get(..failure.length as usize).unwrap_or_default();
    let words = String::from_utf8_lossy(used);
    Error::new(status, format!("MPI: {words}")).with_value(failure.class.unsigned_abs().into())
}

/// An empty failure for a call to fill.
pub fn no_failure() -> Failure {
    Failure { class: 0, length: 0, text: [0; 504] }
}

/// The table's `place`: room for what all ranks tell, in a vector of the caller. NULL if there is no memory.
pub unsafe extern "C" fn place(user: *mut c_void, ranks: i32) -> *mut u8 {
    // SAFETY: `user` is the `Cards` that the caller of `join` passed, and lives until it returns.
    let cards = unsafe { &mut *user.cast::<Cards>() };
    let bytes = usize::try_from(ranks).unwrap_or(0) * cards.bytes;
    if cards.all.try_reserve_exact(bytes).is_err() {
        return std::ptr::null_mut();
    }
    cards.all.resize(bytes, 0);
    cards.all.as_mut_ptr()
}

/// What all ranks tell, `bytes` each.
pub struct Cards {
    pub bytes: usize,
    pub all: Vec<u8>,
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn launched_by(family: Family) -> Launcher {
        Launcher { name: "its mpirun", family: Some(family), rank: Some(0), size: Some(2) }
    }

    fn in_process(family: Family) -> Vec<(Family, PathBuf)> {
        vec![(family, "/lib/libmpi.so".into())]
    }

    #[test]
    fn the_process_decides_then_the_launcher_then_what_is_there() {
        use Family::{Mpich, OpenMpi};
        let found = |choice, loaded: &[_], launcher: Option<&Launcher>| {
            candidates(&choice, loaded, launcher).unwrap()
        };
        assert_eq!(found(Choice::Auto, &[], None), Family::ALL);
        assert_eq!(found(Choice::Auto, &in_process(Mpich), None), [Mpich]);
        assert_eq!(found(Choice::Auto, &[], Some(&launched_by(Mpich))), [Mpich]);
        assert_eq!(found(Choice::Mpich, &[], None), [Mpich]);
        assert_eq!(
            found(Choice::OpenMpi, &in_process(OpenMpi), Some(&launched_by(OpenMpi))),
            [OpenMpi]
        );
        let unknown = Launcher { family: None, ..launched_by(Mpich) };
        assert_eq!(found(Choice::Auto, &[], Some(&unknown)), Family::ALL);
    }

    #[test]
    fn what_does_not_match_is_named_with_its_fix() {
        use Family::{Mpich, OpenMpi};
        let refused = |choice, loaded: &[_], launcher: Option<&Launcher>, words: &[&str]| {
            let error = candidates(&choice, loaded, launcher).unwrap_err();
            assert_eq!(error.status, LAVA_ERROR_UNSUPPORTED);
            for word in words {
                assert!(error.message.contains(word), "{word}: {error}");
            }
        };
        let open = launched_by(OpenMpi);
        refused(Choice::Mpich, &[], Some(&open), &["alone", "mpirun of MPICH", "LAVA_MPI=openmpi"]);
        refused(Choice::Mpich, &in_process(OpenMpi), None, &["/lib/libmpi.so", "LAVA_MPI=openmpi"]);
        refused(Choice::Auto, &in_process(Mpich), Some(&open), &["mpirun of MPICH"]);
        let both = [in_process(Mpich), in_process(OpenMpi)].concat();
        refused(Choice::Auto, &both, None, &["two MPIs", "MPICH", "Open MPI"]);
    }

    #[test]
    fn libraries_are_known_by_their_file_names() {
        for (name, family) in [
            ("/usr/lib/libmpi.so.40", Some(Family::OpenMpi)),
            ("libmpi.so.40.30.4", Some(Family::OpenMpi)),
            ("/opt/libmpi.so.12.2", Some(Family::Mpich)),
            ("libmpich.so.12", Some(Family::Mpich)),
            ("libmpi_cray.so.12", Some(Family::Mpich)),
            ("libmpi_cxx.so.40", None),
            ("libmpifort.so.12", None),
            ("libc.so.6", None),
        ] {
            assert_eq!(Family::of_object(Path::new(name)), family, "{name}");
        }
    }

    #[test]
    fn old_and_wrong_libraries_are_refused() {
        let check = |family, text: &str| check_version(family, text).map_err(|error| error.message);
        check(Family::OpenMpi, "Open MPI v4.1.4, package: Debian").unwrap();
        check(Family::OpenMpi, "Open MPI v5.0.10rc1").unwrap();
        check(Family::Mpich, "MPICH Version:      4.0.2\nMPICH Release date: x").unwrap();
        check(Family::Mpich, "Intel(R) MPI Library 2021.10 for Linux* OS").unwrap();
        assert!(check(Family::OpenMpi, "Open MPI v3.1.6").unwrap_err().contains("4.0 or later"));
        assert!(check(Family::Mpich, "MPICH Version:\t3.2").unwrap_err().contains("3.3 or later"));
        let wrong = check(Family::OpenMpi, "MPICH Version:\t4.0.2").unwrap_err();
        assert!(wrong.contains("use the plug-in of that one"), "{wrong}");
        assert!(check(Family::Mpich, "Open MPI v4.1.4").is_err());
    }

    #[test]
    fn plugins_are_looked_for_beside_the_library_and_by_name() {
        let found = |own: &str| places(None, Some(Path::new(own)), "x.so");
        let paths = |texts: &[&str]| texts.iter().map(PathBuf::from).collect::<Vec<_>>();
        assert_eq!(found("/lib/liblava.so.0"), paths(&["/lib/x.so", "/lib/lava/x.so", "x.so"]));
        let cargo = paths(&["/t/deps/x.so", "/t/deps/lava/x.so", "/t/x.so", "x.so"]);
        assert_eq!(found("/t/deps/cli-1"), cargo);
        let installed = found("/usr/bin/lava");
        for place in ["/usr/lib/lava/x.so", "/usr/lib64/lava/x.so"] {
            assert!(installed.contains(&place.into()), "{installed:?}");
        }
        let first = places(Some(Path::new("/opt")), None, "x.so");
        assert_eq!(first, paths(&["/opt/x.so", "x.so"]));
    }

    #[test]
    fn a_plugin_that_does_not_load_says_why() {
        for (path, word) in [("/nowhere/liblava_mpi.so", "cannot open"), ("/proc/self/exe", "")] {
            let choice = Choice::Plugin(path.into());
            let settings = MpiSettings { choice, ..MpiSettings::default() };
            let error = Library::find(&settings, None).unwrap_err();
            assert!(error.message.contains(word) && error.message.contains(path), "{error}");
        }
        assert!(remedy("libmpi.so.40: cannot open shared object file").contains("LD_LIBRARY_PATH"));
    }
}
