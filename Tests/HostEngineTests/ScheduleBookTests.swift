import RoostPrimitives
import Testing
import VMConfiguration

@testable import HostEngine

@Suite struct ScheduleBookTests {
    private let hourly = CheckpointSchedule(intervalInMinutes: 60, keptCount: 3, since: 0)
    private let id = GUID.random()

    private func makeBook(_ last: [GUID: Int64] = [:]) -> ScheduleBook { ScheduleBook { last[$0] } }

    @Test func oneThatIsDueIsTakenOnceAndNoMoreThanSomeAtATime() {
        let others = (0..<3).map { _ in GUID.random() }
        let book = makeBook([others[0]: 100])
        book.set(id, hourly)
        for other in others { book.set(other, hourly) }
        #expect(book.take(at: 3599, atMost: 2).isEmpty)
        let first = book.take(at: 3600, atMost: 2)
        #expect(first.count == 2 && !first.contains { $0.id == others[0] })
        #expect(book.take(at: 3600, atMost: 2).isEmpty)
        book.end(first[0].id, .failed(reason: "x"), at: 3600)
        #expect(book.take(at: 3600, atMost: 2).count == 1)
        #expect(book.next(others[0]) == 3700)
    }

    @Test func missIsCountedOnceForEachThatWasDue() {
        let book = makeBook()
        book.set(id, hourly)
        var missed: [Bool] = []
        for now in [3600, 4200, 5400, 7800, 11_400] as [Int64] {
            #expect(book.take(at: now, atMost: 1).map(\.id) == [id], "\(now)")
            missed.append(book.end(id, .failed(reason: "at \(now)"), at: now))
        }
        // Those at 4200 and 5400 tried what was due at 3600 again.
        #expect(missed == [true, false, false, true, true])
        #expect(book.miss(id) == ScheduleBook.Miss(count: 3, time: 11_400, reason: "at 11400"))
        book.note(missed: 4, id, reason: "no roostd", at: 20_000)
        #expect(book.miss(id)?.count == 7)
        book.end(id, .taken, at: 20_000)
        #expect(book.next(id) == 3600)
    }

    @Test func oneThatHasNothingNewIsLookedAtAfterAnInterval() {
        let book = makeBook()
        book.set(id, hourly)
        _ = book.take(at: 5000, atMost: 1)
        #expect(book.end(id, .nothingNew, at: 5000) == false)
        #expect(book.next(id) == 8600 && book.miss(id) == nil)
        // Another schedule begins anew, the same one does not.
        book.set(id, hourly)
        #expect(book.next(id) == 8600)
        book.set(id, CheckpointSchedule(intervalInMinutes: 1, keptCount: 1, since: 0))
        #expect(book.next(id) == 60)
        book.set(id, nil)
        #expect(book.next(id) == nil && book.take(at: .max, atMost: 1).isEmpty)
    }

    @Test func waitEndsWhenSomethingChanges() async {
        let book = makeBook()
        let waiting = Task {
            // Nothing is due for an hour.
            await book.wait(at: 0)
            await book.wait(at: 0)
            return true
        }
        book.set(id, hourly)
        while !waiting.isCancelled {
            await Task.yield()
            book.set(id, nil)
            book.set(id, hourly)
            if await isOver(waiting) { break }
        }
        #expect(await waiting.value)
    }

    private func isOver(_ task: Task<Bool, Never>) async -> Bool {
        await withTaskGroup(of: Bool.self) { group in
            group.addTask { await task.value }
            group.addTask {
                _ = try? await Task.sleep(for: .milliseconds(10))
                return false
            }
            defer { group.cancelAll() }
            return await group.next() ?? false
        }
    }

    @Test func cancelledWaitEnds() async {
        let book = makeBook()
        let waiting = Task { await book.wait(at: 0) }
        waiting.cancel()
        await waiting.value
    }
}
