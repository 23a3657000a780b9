//! The code that doc/spec/interop.md shows: it is the text of the files here, it compiles, and Vulkan's runs. And the
//! shader of the example is what its source compiles to.

use std::path::PathBuf;
use std::process::{Command, Output};

use lava_tests::{Compiler, Language, library, root, skip};

/// The shown files, and a header that each needs besides `lava.h`.
const SHOWN: [(&str, &str); 4] = [
    ("vulkan.c", "vulkan/vulkan.h"),
    ("cuda.c", "cuda.h"),
    ("opencl.c", "CL/cl_ext.h"),
    ("opengl.c", "GL/glext.h"),
];

fn file(name: &str) -> PathBuf {
    root().join("tests/interop").join(name)
}

/// The system's compiler, with CUDA's toolkit where it installs itself.
fn compiler() -> Command {
    let mut command = Compiler::SYSTEM.command(Language::C11);
    command.args(["-isystem", "/usr/local/cuda/include"]);
    command
}

fn has_header(name: &str) -> bool {
    let check =
        format!("echo '#include <{name}>' | cc -I /usr/local/cuda/include -E - >/dev/null 2>&1");
    Command::new("sh").args(["-c", &check]).status().is_ok_and(|status| status.success())
}

fn assert_success(output: &Output, what: &str) {
    let (said, errors) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{what}: {}\n{said}{errors}", output.status);
}

#[test]
fn the_document_shows_the_files() {
    let document = std::fs::read_to_string(root().join("doc/spec/interop.md")).expect("interop.md");
    for (name, _) in SHOWN {
        let code = std::fs::read_to_string(file(name)).expect("a shown file");
        assert!(
            document.contains(&format!("```c\n{code}```\n")),
            "doc/spec/interop.md has no block that is tests/interop/{name}; make the two equal"
        );
    }
}

fn check(name: &str) {
    let header = SHOWN.iter().find(|(shown, _)| *shown == name).expect("a shown file").1;
    if !Compiler::SYSTEM.is_present() {
        return skip("no C compiler: install gcc");
    }
    if !has_header(header) {
        return skip(&format!("no {header} here"));
    }
    let output = compiler().arg("-fsyntax-only").arg(file(name)).output().expect("cc runs");
    assert_success(&output, name);
}

#[test]
fn the_code_for_vulkan_compiles() {
    check("vulkan.c");
}

#[test]
fn the_code_for_cuda_compiles() {
    check("cuda.c");
}

#[test]
fn the_code_for_opencl_compiles() {
    check("opencl.c");
}

#[test]
fn the_code_for_opengl_compiles() {
    check("opengl.c");
}

/// Builds and runs the program of an interface that imports a buffer of lava's; it compares all bytes in both directions.
fn import(name: &str, headers: &[&str], libraries: &[&str], packages: &str) {
    if !Compiler::SYSTEM.is_present() || !headers.iter().all(|header| has_header(header)) {
        return skip(&format!("no C compiler, or no headers: install gcc and {packages}"));
    }
    let directory = tempfile::tempdir().expect("a temporary directory");
    let program = directory.path().join(name);
    let mut build = compiler();
    build.arg(file(&format!("{name}_program.c"))).arg("-o").arg(&program);
    build.arg("-L").arg(&library().directory).arg("-llava").args(libraries);
    assert_success(&build.output().expect("cc runs"), &format!("{name}_program.c"));
    let run = Command::new(&program)
        .env("LD_LIBRARY_PATH", &library().directory)
        .env("VK_INSTANCE_LAYERS", "VK_LAYER_KHRONOS_validation")
        .output()
        .expect("the program starts");
    if run.status.code() == Some(77) {
        return skip(&String::from_utf8_lossy(&run.stderr));
    }
    assert_success(&run, name);
    let said = String::from_utf8_lossy(&run.stdout);
    assert!(!said.contains("VUID") && !said.contains("Validation"), "{said}");
}

#[test]
fn vulkan_imports_what_lava_exports() {
    import("vulkan", &["vulkan/vulkan.h"], &["-lvulkan"], "libvulkan-dev");
}

#[test]
fn cuda_imports_what_lava_exports() {
    import("cuda", &["cuda.h"], &["-lcuda"], "CUDA's toolkit");
}

#[test]
fn opencl_imports_what_lava_exports() {
    import("opencl", &["CL/cl_ext.h"], &["-lOpenCL"], "ocl-icd-opencl-dev");
}

#[test]
fn opengl_imports_what_lava_exports() {
    let headers = ["GL/glext.h", "EGL/eglext.h"];
    import("opengl", &headers, &["-lEGL", "-lOpenGL"], "libegl-dev and libopengl-dev");
}

#[test]
fn the_shader_of_the_example_is_its_source() {
    let directory = root().join("lava/examples/vulkan_compute_producer");
    let place = tempfile::tempdir().expect("a temporary directory");
    let made = place.path().join("wave.spv");
    let mut compiler = Command::new("glslangValidator");
    compiler.args(["-V", "--quiet", "-o"]).arg(&made).arg(directory.join("wave.comp"));
    let Ok(output) = compiler.output() else {
        return skip("no glslangValidator: install glslang-tools");
    };
    assert_success(&output, "wave.comp");
    let code = |path: PathBuf| std::fs::read(path).expect("SPIR-V");
    let (made, committed) = (code(made), code(directory.join("wave.spv")));
    // The third word: the compiler's version. Another one may write other code for the same source.
    if made[8..12] != committed[8..12] {
        return skip("another glslangValidator than the one that made wave.spv");
    }
    assert!(made == committed, "run glslangValidator -V wave.comp -o wave.spv in {directory:?}");
}
