import CrashMatrix
import Testing

@Suite struct CrashMatrixTests {
    @Test(arguments: CrashMatrix.scenarios.indices) func noCrashStateLosesAnything(index: Int) {
        let tally = CrashMatrix.scenarios[index].runAll(.short, first: 1, seeds: 1)
        #expect(tally.tried > 20)
        #expect(tally.lost == 0, "\(CrashMatrix.scenarios[index].name): \(tally.findings)")
    }

    @Test(arguments: Faults.Planted.allCases) func plantedFaultIsNoticed(fault: Faults.Planted) {
        #expect(CrashMatrix.tally(planted: fault, .short).lost > 0)
    }
}
