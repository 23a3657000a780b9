//! GPUs beside lava: CUDA's own copies and Vulkan's own queue, to check what lava says and to measure it against.

pub mod cuda;
pub mod queue;

use lava::{ConsumerOptions, Memory, Uuid};

/// The GPU that a user names.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub struct DeviceArgument {
    /// The GPU, by its UUID as `lava info` shows it; implies `--memory device` [default: the best]
    #[arg(long, value_name = "UUID")]
    pub device: Option<Uuid>,
}

impl DeviceArgument {
    /// What `--memory` and `--device` come to.
    pub fn memory(self, memory: Memory) -> Memory {
        match (memory, self.device) {
            (Memory::Auto, Some(_)) => Memory::Device,
            (memory, _) => memory,
        }
    }

    /// A consumer's options for frames in `memory` of this GPU.
    pub fn consumer(self, options: ConsumerOptions, memory: Memory) -> ConsumerOptions {
        let options = options.memory(self.memory(memory));
        match self.device {
            Some(device) => options.device(device),
            None => options,
        }
    }
}
