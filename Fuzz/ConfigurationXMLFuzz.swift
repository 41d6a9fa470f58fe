import HyperVStorage
import VMConfiguration

/// Reads the input as it is, and as what UTF-16 of its bytes would be.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    let input = Array(UnsafeBufferPointer(start: start, count: count))
    exercise(input)
    exercise([0xFF, 0xFE] + input.flatMap { [$0, 0] })
    return 0
}

/// A document that can be read can be written, and has the same keys afterwards; a configuration can be upgraded.
private func exercise(_ bytes: [UInt8]) {
    guard let document = try? ConfigurationXML.parse(bytes) else { return }
    guard let written = try? ConfigurationXML.serialize(document.root),
        let again = try? ConfigurationXML.parse(written)
    else { fatalError("cannot write what was read, or read what was written") }
    precondition(
        ConfigurationDifference.between(document.root, again.root).isEmpty,
        "reads differently from what was written"
    )
    precondition(again.remarks.isEmpty, "something was written that is only tolerated")
    guard let configuration = try? VirtualMachineConfiguration(root: document.root) else { return }
    do throws(ConfigurationError) {
        _ = try configuration.converted(to: .v9_0)
    } catch {
        precondition(error.code != .lossyConversion, error.message)
    }
}
