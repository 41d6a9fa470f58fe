import DurableFiles
import Testing

@Suite struct DurableFileTests {
    @Test func placeholder() { #expect(parentFolder(of: "/a") == "/") }
}
