import CRoostLinux

#if canImport(Glibc)
    import Glibc
#endif

/// Makes a tap device, a port of a bridge, and returns its descriptor for QEMU; the device goes with the last descriptor.
///
/// - Throws: `EngineError` `.permissionDenied` without CAP_NET_ADMIN, `.notFound` when the bridge does not exist.
package func openTap(bridge: String) throws(EngineError) -> OwnedDescriptor {
    var name = [CChar](repeating: 0, count: 17)
    let descriptor = roost_tap_open("roost%d", &name)
    guard descriptor >= 0 else {
        throw EngineError(
            descriptor == -EPERM ? .permissionDenied : .failed,
            "cannot make a tap device for the bridge \(bridge)",
            cause: systemErrorText(-descriptor)
        )
    }
    let owned = OwnedDescriptor(descriptor)
    let result = roost_bridge_attach(bridge, name)
    guard result == 0 else {
        throw EngineError(
            result == -ENODEV ? .notFound : .failed,
            "cannot connect a tap device to the bridge \(bridge)",
            cause: systemErrorText(-result)
        )
    }
    return owned
}
