//! What says which images go where.

use std::path::PathBuf;

use clap::Subcommand;

use super::Format;
use crate::model::layout_reference::LayoutReference;

/// What to do with images.
#[derive(Debug, Clone, Subcommand)]
pub(in crate::cli) enum ImagesVerb {
    /// List the images of an application, newest first
    #[command(
        after_help = "Examples:\n  slipway images list trade/order\n  slipway images list harbor.example.com/trade/order --format json"
    )]
    List {
        /// Product line and application; another registry's with its name before
        #[arg(value_name = "PRODUCT_LINE/NAME")]
        repository: String,
        #[command(flatten)]
        format: Format,
    },
    /// Give an image another tag, product line or registry; nothing is built, and its digest stays
    #[command(
        after_help = "A tag that names another image is moved, unless a rule of the project fixes it.\n\nExamples:\n  slipway images promote trade/order:1.4.2 trade-production/order\n  slipway images promote trade/order:1.4.2 trade/order:stable\n  slipway images promote trade/order@sha256:… harbor.site.example.com/trade/order:1.4.2"
    )]
    Promote {
        /// The image, by tag or digest
        from: String,
        /// What it is called then; the tag may be left out where it stays
        to: String,
        #[command(flatten)]
        format: Format,
    },
    /// Read all of an image in an OCI image layout, and see that every part is what its name says
    #[command(
        after_help = "An archive of `--output type=oci` is such a layout once it is unpacked.\n\nExamples:\n  slipway images check oci:/srv/images\n  slipway images check oci:/srv/images:1.4.2"
    )]
    Check {
        /// The layout's directory, and the image where it has several
        #[arg(value_name = "oci:DIRECTORY[:NAME]")]
        layout: LayoutReference,
        #[command(flatten)]
        format: Format,
    },
}

/// What to do with bundles.
#[derive(Debug, Clone, Subcommand)]
pub(in crate::cli) enum BundleVerb {
    /// Write images into one archive, an OCI image layout with checksums
    #[command(
        after_help = "An export that was broken off goes on where it was when it is asked for again.\n\nExamples:\n  slipway bundle export trade/order:1.4.2 trade/web:2.0 --output trade.tar\n  slipway bundle export trade/order:1.4.3 --inventory site.json --output update.tar"
    )]
    Export {
        /// The images, by tag or digest
        #[arg(required = true, value_name = "IMAGE")]
        images: Vec<String>,
        /// The archive
        #[arg(long, short, value_name = "FILE")]
        output: PathBuf,
        /// What the far side has, which is left out
        #[arg(long, value_name = "FILE")]
        inventory: Option<PathBuf>,
        /// Sign it with this private Ed25519 key (PKCS#8 in PEM)
        #[arg(long, value_name = "FILE")]
        sign: Option<PathBuf>,
        #[command(flatten)]
        format: Format,
    },
    /// Bring the images of an archive into a registry; what is there is not sent again
    #[command(
        after_help = "Projects that are missing are made where `[registry.projects]` allows it. Broken off, it is simply started again.\n\nExamples:\n  slipway bundle import trade.tar --inventory site.json"
    )]
    Import {
        /// The archive
        file: PathBuf,
        /// The registry; `registry.host` if absent
        #[arg(long, value_name = "HOST")]
        registry: Option<String>,
        /// Enter what is there then in this inventory, for the next export
        #[arg(long, value_name = "FILE")]
        inventory: Option<PathBuf>,
        /// Take it only where this public Ed25519 key (PEM) has signed it; may be given more than once; `registry.bundle_keys`
        /// if absent
        #[arg(long, value_name = "FILE")]
        key: Vec<PathBuf>,
        #[command(flatten)]
        format: Format,
    },
    /// Read all of an archive and compare it with its checksums
    Verify {
        /// The archive
        file: PathBuf,
        /// The public Ed25519 key (PEM) that has to have signed it; may be given more than once; `registry.bundle_keys` if
        /// absent
        #[arg(long, value_name = "FILE")]
        key: Vec<PathBuf>,
        #[command(flatten)]
        format: Format,
    },
    /// Write down what a registry has of images
    Inventory {
        /// The images, by tag or digest
        #[arg(required = true, value_name = "IMAGE")]
        images: Vec<String>,
        /// The inventory
        #[arg(long, short, value_name = "FILE")]
        output: PathBuf,
    },
}
