//! Writes `layout_table.rs`: the size, alignment and every field's offset of each struct of `lava_sys::types`, and the
//! value of each constant, as the compiler sees them. No struct, field or constant can be forgotten: the list is
//! read from the sources. And `recorded_calls.rs`: every function of the C interface that gives a status, to be called in its
//! place by tests that keep a record of what was called. And tells the tests the target that they are built for, as
//! `LAVA_TARGET`.

use std::path::{Path, PathBuf};
use std::{env, fs};

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Fields, FnArg, ForeignItem, ForeignItemFn, Item, ItemConst, ItemStruct, ReturnType};

fn main() {
    println!("cargo::rustc-env=LAVA_TARGET={}", env::var("TARGET").expect("set by cargo"));
    let directory = Path::new(&env::var("CARGO_MANIFEST_DIR").expect("set by cargo"))
        .join("../lava-sys/src/types");
    println!("cargo::rerun-if-changed={}", directory.display());
    let (mut structs, mut constants) = (Vec::new(), Vec::new());
    for file in source_files(&directory) {
        println!("cargo::rerun-if-changed={}", file.display());
        for item in &parse(&file).items {
            match item {
                Item::Struct(item) if is_repr_c(item) => structs.push(struct_entry(item)),
                Item::Const(item) => constants.push(constant_entry(item)),
                _ => {}
            }
        }
    }
    let table = quote! {
        pub(crate) const STRUCTS: &[Struct] = &[#(#structs),*];
        pub(crate) const CONSTANTS: &[Constant] = &[#(#constants),*];
    };
    write("layout_table.rs", &table);
    let declarations = directory.join("../decl.rs");
    println!("cargo::rerun-if-changed={}", declarations.display());
    let declared = parse(&declarations);
    let functions = declared.items.iter().filter_map(|item| match item {
        Item::ForeignMod(block) => Some(&block.items),
        _ => None,
    });
    let calls = functions.flatten().filter_map(|item| match item {
        ForeignItem::Fn(function) => recorded_call(function),
        _ => None,
    });
    write("recorded_calls.rs", &calls.collect());
}

fn write(name: &str, text: &TokenStream) {
    let out = Path::new(&env::var("OUT_DIR").expect("set by cargo")).join(name);
    fs::write(out, text.to_string()).expect("writable OUT_DIR");
}

fn parse(file: &Path) -> syn::File {
    let text = fs::read_to_string(file).expect("readable source");
    syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

fn source_files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).expect("lava-sys/src/types");
    let mut files: Vec<_> = entries.map(|entry| entry.expect("directory entry").path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "rs"));
    files.sort();
    files
}

fn is_repr_c(item: &ItemStruct) -> bool {
    item.attrs.iter().any(|attribute| {
        attribute.path().is_ident("repr")
            && attribute.parse_args::<syn::Ident>().is_ok_and(|argument| argument == "C")
    })
}

fn struct_entry(item: &ItemStruct) -> TokenStream {
    let name = &item.ident;
    let Fields::Named(fields) = &item.fields else { panic!("{name} has unnamed fields") };
    let fields = fields.named.iter().map(|field| {
        let (field, kind) = (&field.ident, &field.ty);
        quote! {
            Field {
                name: stringify!(#field),
                offset: ::std::mem::offset_of!(#name, #field),
                size: ::std::mem::size_of::<#kind>(),
            }
        }
    });
    quote! {
        Struct {
            name: stringify!(#name),
            size: ::std::mem::size_of::<#name>(),
            align: ::std::mem::align_of::<#name>(),
            fields: &[#(#fields),*],
        }
    }
}

fn constant_entry(item: &ItemConst) -> TokenStream {
    let name = &item.ident;
    quote! { Constant { name: stringify!(#name), value: #name as i128 } }
}

/// A function of the same name and signature that calls the declared one and has its status recorded.
fn recorded_call(function: &ForeignItemFn) -> Option<TokenStream> {
    let signature = &function.sig;
    let ReturnType::Type(_, kind) = &signature.output else { return None };
    if quote!(#kind).to_string() != "lava_status" {
        return None;
    }
    let (name, arguments) = (&signature.ident, &signature.inputs);
    let values = arguments.iter().map(|argument| match argument {
        FnArg::Typed(argument) => &argument.pat,
        FnArg::Receiver(_) => unreachable!("a C function has no self"),
    });
    Some(quote! {
        pub(crate) unsafe fn #name(#arguments) -> lava_status {
            record(stringify!(#name), unsafe { ::lava_sys::#name(#(#values),*) })
        }
    })
}
