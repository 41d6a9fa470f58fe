import ConfigStore
import RoostPrimitives
import Testing

@testable import HostEngine

@Suite struct RivalFilesTests {
    private func broken(_ id: GUID, _ path: String) -> StoredMachine {
        .broken(id: id, path: path, reason: StoreError(.corrupt, "cannot read \(path)"))
    }

    @Test func brokenFileNamesTheOtherOneOfItsMachine() throws {
        let (one, two) = (GUID.random(), GUID.random())
        let found = Host.namingRivals([broken(one, "/a.vmcx"), broken(one, "/a.xml"), broken(two, "/b.vmcx")])
        let reasons = found.map { stored in
            if case .broken(_, _, let reason) = stored { reason.message } else { "" }
        }
        #expect(reasons[0].hasPrefix("cannot read /a.vmcx; /a.xml is a configuration of the same machine"))
        #expect(reasons[1].hasPrefix("cannot read /a.xml; /a.vmcx is a configuration of the same machine"))
        #expect(reasons[2] == "cannot read /b.vmcx")
    }
}
