import UEFIVariables

/// A variable store that can be read can be written, and reads the same afterwards.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    let input = Array(UnsafeBufferPointer(start: start, count: count))
    guard let store = try? VariableStore(parsing: input), let bytes = try? store.serialized() else { return 0 }
    guard let again = try? VariableStore(parsing: bytes) else { fatalError("cannot read what was written") }
    precondition(again.variables == store.variables, "reads differently from what was written")
    return 0
}
