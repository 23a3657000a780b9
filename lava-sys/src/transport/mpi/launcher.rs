//! Who started this process as one of several, as its environment tells. Pure.

use super::library::Family;

/// A launcher that speaks MPI's start-up protocols.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Launcher {
    pub name: &'static str,
    /// The MPI that it starts; None: several kinds.
    pub family: Option<Family>,
    /// This process's rank and the number of ranks, where it tells.
    pub rank: Option<u32>,
    pub size: Option<u32>,
}

impl Launcher {
    /// From the variables that launchers set. None: nothing started this process, or something that has no part in MPI,
    /// as `srun --mpi=none`.
    pub fn detect(variable: impl Fn(&str) -> Option<String>) -> Option<Self> {
        let number = |name: &str| variable(name).and_then(|text| text.trim().parse::<u32>().ok());
        let is_set = |name: &str| variable(name).is_some();
        let slurm = is_set("SLURM_PROCID");
        let slurm_size = || number("SLURM_STEP_NUM_TASKS").or_else(|| number("SLURM_NTASKS"));
        if is_set("OMPI_COMM_WORLD_SIZE") {
            return Some(Self {
                name: "Open MPI's mpirun",
                family: Some(Family::OpenMpi),
                rank: number("OMPI_COMM_WORLD_RANK"),
                size: number("OMPI_COMM_WORLD_SIZE"),
            });
        }
        if is_set("PMI_SIZE") || is_set("PMI_FD") {
            // Slurm and Cray's launcher set the same variables for every MPI.
            let several = slurm || is_set("PALS_RANKID") || is_set("ALPS_APP_PE");
            return Some(Self {
                name: if slurm { "srun (PMI)" } else { "MPICH's mpirun (Hydra)" },
                family: (!several).then_some(Family::Mpich),
                rank: number("PMI_RANK"),
                size: number("PMI_SIZE").or_else(slurm_size),
            });
        }
        if is_set("PMIX_RANK") {
            return Some(Self {
                name: if slurm { "srun (PMIx)" } else { "a PMIx launcher" },
                family: None,
                rank: number("PMIX_RANK"),
                size: if slurm { slurm_size() } else { None },
            });
        }
        None
    }

    /// Whether it started more than this process, as far as it tells.
    pub fn started_several(&self) -> bool {
        self.size != Some(1)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn detect(variables: &[(&str, &str)]) -> Option<Launcher> {
        Launcher::detect(|name| {
            variables.iter().find(|(one, _)| *one == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn each_launcher_is_known_by_its_variables() {
        assert_eq!(
            detect(&[("HOME", "/root"), ("SLURM_PROCID", "1"), ("SLURM_NTASKS", "4")]),
            None
        );
        let open = detect(&[
            ("OMPI_COMM_WORLD_SIZE", "4"),
            ("OMPI_COMM_WORLD_RANK", "3"),
            ("PMIX_RANK", "3"),
        ]);
        let open = open.unwrap();
        assert_eq!((open.family, open.rank, open.size), (Some(Family::OpenMpi), Some(3), Some(4)));
        let hydra = detect(&[("PMI_SIZE", "2"), ("PMI_RANK", "0"), ("PMI_FD", "5")]).unwrap();
        assert_eq!((hydra.family, hydra.rank, hydra.size), (Some(Family::Mpich), Some(0), Some(2)));
        let slurm = detect(&[
            ("PMI_FD", "5"),
            ("PMI_RANK", "1"),
            ("SLURM_PROCID", "1"),
            ("SLURM_NTASKS", "8"),
        ]);
        let slurm = slurm.unwrap();
        assert_eq!((slurm.name, slurm.family, slurm.size), ("srun (PMI)", None, Some(8)));
        let pmix = detect(&[
            ("PMIX_RANK", "1"),
            ("SLURM_PROCID", "1"),
            ("SLURM_NTASKS", "8"),
            ("SLURM_STEP_NUM_TASKS", "2"),
        ]);
        assert_eq!(pmix.unwrap().size, Some(2));
    }

    #[test]
    fn a_launcher_that_tells_no_number_may_have_started_several() {
        assert!(detect(&[("PMIX_RANK", "0")]).unwrap().started_several());
        assert!(!detect(&[("PMI_SIZE", "1")]).unwrap().started_several());
        assert!(detect(&[("PMI_SIZE", "many")]).unwrap().started_several());
    }
}
