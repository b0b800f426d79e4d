//! What is run.

use crate::compare::fact::Case;

/// Repository, version, digest, platform.
pub(super) fn facts(case: &mut Case<'_>) {
    let image = &case.service.image;
    if let Some(reference) = &image.reference {
        case.put("image", reference.value.clone(), &reference.span);
    } else if let Some(build) = &image.build {
        case.put("image", "(built from source)", &build.span);
    }
    if let Some(platform) = &case.service.image.platform {
        case.put("platform", platform.value.clone(), &platform.span);
    }
}
